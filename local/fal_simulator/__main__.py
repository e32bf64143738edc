"""`python -m local.fal_simulator --port N`: serve on loopback until interrupted."""

from local.fal_simulator.app import create_app
from local.fal_simulator.config import Config
from local.fal_simulator.service import Simulator
from local.provider_simulator.process import run

if __name__ == "__main__":
    run(Config, Simulator, create_app, module="local.fal_simulator", about=__doc__)
