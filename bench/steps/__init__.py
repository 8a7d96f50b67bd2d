"""The steps of the bench; each says how long it takes and puts what it finds into the findings."""
