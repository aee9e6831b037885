package headgate.rates_test

import data.headgate.rates

tiers := {"default": [{"rate": "1/1s"}], "paid": [{"rate": "100/1s", "burst": 200}, {"rate": "10000/1h"}]}

test_tiered if {
	rates.tiered(tiers, "paid", "ada") == [
		{"name": "paid-1", "key": ["paid", 0, "ada"], "rate": "100/1s", "burst": 200},
		{"name": "paid-2", "key": ["paid", 1, "ada"], "rate": "10000/1h"},
	]
	rates.tiered(tiers, "odd", "eve") == [{"name": "odd-1", "key": ["odd", 0, "eve"], "rate": "1/1s"}]
}

test_no_default if not rates.tiered({"a": []}, "b", "eve")

costs := [{"methods": ["POST"], "path": "/reports/**", "cost": 10}]

test_costly if {
	limits := rates.tiered(tiers, "default", "ada")
	[l.cost | some l in rates.costly(limits, costs, "POST", ["reports", "1"])] == [10]
	[l.cost | some l in rates.costly(limits, costs, "GET", ["reports", "1"])] == [1]
}
