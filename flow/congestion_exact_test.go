package flow

import (
	"math/rand/v2"
	"time"

	"github.com/rmcast/rmcast/mono"
	"github.com/rmcast/rmcast/seq"
)

// exactCongestion drives controllers with a link of its own that loses and queues, in integers, and now and then with nonsense.
func exactCongestion(rng *rand.Rand, h *trace) {
	for range 60 {
		now := mono.Time(someTime(rng, 60))
		cfg := CongestionConfig{
			Max: 1 + someRate(rng, 40), Start: 100000 + someRate(rng, 32), PacketBytes: 100 + below(rng, 9000), RTT: someTime(rng, 32),
			LossIsCongestion: below(rng, 4) == 0,
		}
		c := NewCongestion(now, cfg)
		link, least := 100000+someRate(rng, 32), someTime(rng, 27)
		loss, next, lead := below(rng, 200), seq.Num(rng.Uint32()), seq.Num(0)
		lead = next - 1
		queue, held := time.Duration(0), time.Duration(0)
		for range 1000 {
			step := c.Every() + someTime(rng, 20)
			out := next.Sub(lead) - 1
			n := int(min(c.Rate().Bytes(step)/int64(cfg.PacketBytes), 50000, int64(max(c.Window()-out, 0))))
			next = next.Add(n)
			c.Sent(now, next, n*cfg.PacketBytes)
			queue = max(queue+link.Duration(int64(n*cfg.PacketBytes))-step, 0)
			now = now.Add(step)
			got := next.Sub(lead) - 1
			came := got - got*below(rng, loss+1)/1000
			if queue > 2*least {
				came, queue = came-came/8, 2*least
			}
			held = someTime(rng, 22)
			c.Delivered(now.Add(least+queue), Delivery{
				Lead: next - 1, Expected: got, Came: came, Bytes: int64(came * cfg.PacketBytes), Over: step, Held: held,
			})
			lead = next - 1
			switch below(rng, 300) {
			case 0:
				c.Switched(now, someRate(rng, 32))
			case 1:
				c.Blind(now)
				c.Lost(now, below(rng, 300), 1+below(rng, 3000))
			case 2:
				c.Limited(now)
			case 3:
				now = now.Add(someTime(rng, 34))
				c.Advance(now)
			case 4:
				c.Marked(now)
			case 5:
				c.Delivered(now, Delivery{Lead: seq.Num(rng.Uint32()), Expected: int(rng.Uint32() >> 1), Came: below(rng, 1000), Bytes: int64(someTime(rng, 60)), Over: someTime(rng, 40)})
			case 6:
				link = 100000 + someRate(rng, 32)
			}
			c.Advance(now)
			s := c.State()
			h.add(uint64(c.Rate()), uint64(c.Window()), uint64(c.Every()), uint64(c.Silence()), uint64(c.Deadline()), uint64(s.Phase), uint64(s.Why), uint64(s.Capacity))
			h.float(s.Loss)
			h.float(s.Noise)
		}
	}
}
