package main

// standard is the table that the defaults are judged by: every size at mixed round trips, and round trips for a few sizes.
func standard(seed uint64) []Cell {
	var plan []Cell
	for _, loss := range losses {
		for _, n := range sizes {
			plan = add(plan, n, mixed, loss, laws, false)
		}
	}
	for _, rtt := range rtts[:len(rtts)-1] {
		for _, n := range []int{8, 1000, 100_000} {
			plan = add(plan, n, rtt, Independent, laws, false)
		}
	}
	for _, rtt := range rtts {
		for _, n := range []int{8, 1000} {
			plan = add(plan, n, rtt, Independent, laws, true)
		}
	}
	return seeded(plan, seed)
}

// full is every size, round trip, loss and law.
func full(seed uint64) []Cell {
	var plan []Cell
	for _, rtt := range rtts {
		for _, loss := range losses {
			for _, n := range sizes {
				plan = add(plan, n, rtt, loss, laws, false)
			}
		}
		for _, n := range []int{8, 100, 1000} {
			plan = add(plan, n, rtt, Independent, laws, true)
		}
	}
	return seeded(plan, seed)
}

// quick is a few cells that take seconds.
func quick(seed uint64) []Cell {
	var plan []Cell
	for _, n := range []int{1, 8, 1000} {
		plan = add(plan, n, mixed, Independent, laws, false)
	}
	plan = add(plan, 1000, mixed, Shared, laws, false)
	plan = add(plan, 1000, mixed, Half, []Law{Known}, false)
	plan = add(plan, 10_000, mixed, Independent, []Law{Known, Estimated}, false)
	plan = add(plan, 8, rtts[1], Independent, []Law{Estimated}, true)
	for i := range plan {
		plan[i].Events = min(plan[i].Events, 60)
	}
	return seeded(plan, seed)
}

// add appends the cells of some laws that can be simulated in reasonable time.
func add(plan []Cell, n int, rtt RTT, loss Loss, laws []Law, stream bool) []Cell {
	for _, law := range laws {
		c := Cell{Receivers: n, RTT: rtt, Loss: loss, Law: law, Stream: stream}
		if c.feasible() {
			c.Cold, c.Events = c.effort()
			plan = append(plan, c)
		}
	}
	return plan
}

// effort returns how many loss events to look at: as many as time allows. Where a million receivers lose together, each gets
// an engine for a while, which takes seconds and 7 GB.
func (c Cell) effort() (cold, events int) {
	switch {
	case c.Receivers > 200_000 && c.Loss != Independent && c.Law == Estimated:
		return 8, 3
	case c.Receivers > 200_000 && c.Loss != Independent:
		return 1, 3
	case c.Receivers > 200_000:
		return 20, 30
	case c.Receivers > 20_000 && c.Loss != Independent:
		return 20, 10
	case c.Receivers > 20_000:
		return 20, 50
	case c.Receivers > 2000:
		return 20, 100
	}
	return 20, 200
}

func seeded(plan []Cell, seed uint64) []Cell {
	for i := range plan {
		plan[i].Seed = seed
	}
	return plan
}
