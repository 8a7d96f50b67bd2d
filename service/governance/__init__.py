"""Rules of configuration: pure functions from what is stored and what is asked to what is to be stored."""
