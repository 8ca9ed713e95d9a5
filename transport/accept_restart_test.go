package transport

import (
	"io"
	"testing"
	"time"

	"github.com/rmcast/rmcast/flow"
	"github.com/rmcast/rmcast/netem"
)

// A receiver that is killed in the middle and started again with JoinTrail gets what the window still holds, in order and up to
// the end; another one notices nothing.
func TestLabKillReceiver(t *testing.T) {
	const (
		message = 1400     // a packet each, so that positions tell numbers
		part    = 3000     // messages
		half    = part / 2 // where the receiver is killed
		window  = 1024     // slots, where the window is to be shorter than the part
		size    = 2 * part * message
	)
	for _, c := range []struct {
		name  string
		slots int // 0: the window holds everything
	}{{"window holds all", 0}, {"window has moved", window}} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, netem.LabConfig{Receivers: 2, Loss: 0.02, SenderLoss: 0.01, Wire: true})
			l.cfg.Rate, l.cfg.WindowAge, l.cfg.MaxWindow = 60*flow.Mbps, time.Minute, c.slots
			victim := l.start(0, "receiver", script{})
			other := l.start(1, "receiver", script{})
			victim.want("listening")
			other.want("listening")
			s := l.dial()
			defer s.Close()
			first := s.Stats().Trail
			content := &words{end: size}
			send := func(messages int) {
				b := make([]byte, message)
				for range messages {
					if _, err := io.ReadFull(content, b); err != nil {
						t.Error(err)
					}
					if err := s.WriteMessage(b); err != nil {
						t.Error(err)
						return
					}
				}
			}

			sent := make(chan struct{})
			go func() {
				defer close(sent)
				send(part)
			}()
			victim.reach(half * message)
			victim.kill()
			want := 0
			if c.slots == 0 { // it comes back while the source goes on
				victim = l.start(0, "receiver", script{Join: JoinTrail})
				victim.want("listening")
				<-sent
			} else { // the source has gone on; now it pauses, so that its trail stands still
				<-sent
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
				want = s.Stats().Trail.Sub(first) * message
				if want < (part-c.slots)*message || want > part*message {
					t.Fatalf("the window begins at byte %d of %d", want, part*message)
				}
				victim = l.start(0, "receiver", script{Join: JoinTrail})
			}
			if got := victim.want("begin"); got != want {
				t.Errorf("the receiver that came back begins at byte %d, want the window's first, %d", got, want)
			}
			if c.slots != 0 {
				victim.reach(part * message) // what is sent from now on would push the rest out of the window
			}
			send(part)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for _, r := range []*child{victim, other} {
				if got := r.want("end"); got != size {
					t.Errorf("a receiver's stream ends at byte %d, want %d", got, size)
				}
			}
			t.Logf("%+v", s.Stats().SourceStats)
		})
	}
}
