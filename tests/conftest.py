"""What every test can ask for: the real parts of tests.parts."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.parts.plugin", "tests.parts.fixtures"]

# A machine that is busy with other work is slow, not wrong: no test here is about time.
settings.register_profile("airgap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("airgap")
