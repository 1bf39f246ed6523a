"""Expression and its observation as in SymSim."""
