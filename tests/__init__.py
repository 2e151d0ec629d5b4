"""The tests, by the rooms of the package; journeys go through several, and servers need what is installed beside Python."""
