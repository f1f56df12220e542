"""Jobs: a pure plan first, then one engine that executes any plan."""
