"""``friction explain``: the story of one customer, from the core that a backtest runs."""
