"""HTTP: parse, call the rules, render. No rules and no Redis here."""
