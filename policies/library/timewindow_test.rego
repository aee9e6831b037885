package headgate.timewindow_test

import data.headgate.timewindow

at(text) := time.parse_rfc3339_ns(text)

office := [{"days": ["Monday", "Friday"], "from": "09:00", "to": "17:30", "zone": "Europe/Berlin"}]

night := [{"days": ["Friday"], "from": "22:00", "to": "06:00"}]

test_office if {
	timewindow.open(office, at("2026-01-05T08:00:00Z")) # Monday, 9:00 in Berlin
	timewindow.open(office, at("2026-01-05T16:29:59Z"))
	not timewindow.open(office, at("2026-01-05T07:59:59Z"))
	not timewindow.open(office, at("2026-01-05T16:30:00Z"))
	not timewindow.open(office, at("2026-01-06T12:00:00Z")) # Tuesday
}

test_past_midnight if {
	timewindow.open(night, at("2026-01-09T22:00:00Z")) # Friday
	timewindow.open(night, at("2026-01-10T05:59:00Z"))
	not timewindow.open(night, at("2026-01-10T06:00:00Z"))
	not timewindow.open(night, at("2026-01-10T22:00:00Z"))
	not timewindow.open(night, at("2026-01-09T05:00:00Z"))
}

test_every_day if timewindow.open([{"from": "00:00", "to": "23:59"}], at("2026-01-10T12:00:00Z"))

test_no_window if not timewindow.open([], at("2026-01-10T12:00:00Z"))
