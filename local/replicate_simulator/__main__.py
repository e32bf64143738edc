"""`python -m local.replicate_simulator --port N`: serve on loopback until interrupted."""

from local.provider_simulator.process import run
from local.replicate_simulator.app import create_app
from local.replicate_simulator.config import Config
from local.replicate_simulator.service import Simulator

if __name__ == "__main__":
    run(Config, Simulator, create_app, module="local.replicate_simulator", about=__doc__)
