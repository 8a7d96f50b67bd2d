"""What a request costs: base prices, the override that applies, and the arithmetic from usage to nano-dollars."""
