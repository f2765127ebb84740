"""What every test can ask for: the real parts of tests.parts."""

pytest_plugins = ["tests.parts.plugin", "tests.parts.fixtures"]
