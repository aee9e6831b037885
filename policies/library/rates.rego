# METADATA
# description: Rate limits by tier, for the rate_limits of a decision.
package headgate.rates

# tiered is the limits of a tier for a key. Tiers are
# {"free": [{"rate": "10/1m"}], "paid": [...]}; a tier that is not there is
# "default", and without that everything is refused: the result is undefined.
tiered(tiers, tier, key) := [limit |
	some i, rule in rules
	limit := object.union({"name": sprintf("%s-%d", [tier, i + 1]), "key": [tier, i, key]}, rule)
] if {
	rules := object.get(tiers, tier, object.get(tiers, "default", null))
	is_array(rules)
}

# costly is the limits with the cost of a request: the first rule of costs that fits
# the method and path, {"methods": ["POST"], "path": "/reports/**", "cost": 10}, or 1.
costly(limits, costs, method, segments) := [object.union(limit, {"cost": cost}) |
	cost := array.concat([c.cost | some c in data.headgate.paths.entries(costs, method, segments)], [1])[0]
	some limit in limits
]
