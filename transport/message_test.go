package transport

import "testing"

// What OpenPGM may send, a receiver takes by default; a limit that is set holds, and so do the windows.
func TestLongestMessageAccepted(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want int
	}{
		{Config{}, 65535},
		{Config{MaxMessage: 1000}, 1000},
		{Config{MaxMessage: 100_000}, 100_000},
		{Config{WindowBytes: 100_000}, 50_000},
		{Config{MaxWindow: 32}, 32 * 1384},
	} {
		if err := c.cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		o := opening{given: c.cfg, cfg: c.cfg.withDefaults()}
		if got := o.peersConfig().MaxMessage; got != c.want {
			t.Errorf("with MaxMessage %d, WindowBytes %d, MaxWindow %d a receiver accepts %d bytes, want %d",
				c.cfg.MaxMessage, c.cfg.WindowBytes, c.cfg.MaxWindow, got, c.want)
		}
	}
	bubble(t, func(t *testing.T, w *world) {
		s, l, r := w.pair(Config{MaxMessage: 65535}, Config{})
		big := string(random(3, 65535))
		w.message(s, big)
		w.wantMessage(r, big)
		w.closing(s, r, l)
	})
}
