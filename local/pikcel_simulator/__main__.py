"""`python -m local.pikcel_simulator --port N`: serve on loopback until interrupted."""

from local.pikcel_simulator.app import create_app
from local.pikcel_simulator.config import Config
from local.pikcel_simulator.service import Simulator
from local.provider_simulator.process import run

if __name__ == "__main__":
    run(Config, Simulator, create_app, module="local.pikcel_simulator", about=__doc__)
