# METADATA
# description: |
#   Hours in which something is open. The time is an argument: with time.now_ns()
#   a decision is not remembered.
package headgate.timewindow

# open reports whether now, in nanoseconds since 1970, is in one of the windows:
# {"days": ["Monday"], "from": "09:00", "to": "17:30", "zone": "Europe/Berlin"}.
# days and zone may be absent: every day, UTC. A window whose end is not after its
# begin goes on past midnight; days are those of its begin.
open(windows, now) if {
	some w in windows
	_open(w, now)
}

_open(w, now) if {
	_from(w) < _to(w)
	_day(w, now)
	_minute(w, now) >= _from(w)
	_minute(w, now) < _to(w)
}

_open(w, now) if {
	_from(w) >= _to(w)
	_day(w, now)
	_minute(w, now) >= _from(w)
}

_open(w, now) if {
	_from(w) >= _to(w)
	_day(w, now - ((24 * 3600) * 1000000000))
	_minute(w, now) < _to(w)
}

_zone(w) := object.get(w, "zone", "UTC")

_from(w) := _clock(w.from)

_to(w) := _clock(w.to)

_day(w, _) if not w.days

_day(w, now) if time.weekday([now, _zone(w)]) in w.days

_minute(w, now) := (t[0] * 60) + t[1] if t := time.clock([now, _zone(w)])

_clock(text) := (to_number(parts[0]) * 60) + to_number(parts[1]) if {
	parts := split(text, ":")
	count(parts) == 2
}
