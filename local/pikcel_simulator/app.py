"""The web application."""

from starlette.applications import Starlette

from local.pikcel_simulator import provider_routes
from local.pikcel_simulator.config import Config
from local.provider_simulator.app import application
from local.provider_simulator.service import Simulator


def create_app(simulator: Simulator[Config]) -> Starlette:
    """Return the application of `simulator`; ending it stops what still runs."""
    return application(simulator, provider_routes.routes)
