//go:build netns

package demand

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// A receiver that sends nothing is heard by what its kernel says of groups, and so is that it left.
func TestReports(t *testing.T) {
	lab, err := netem.NewLab(netem.LabConfig{Receivers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	for _, group := range []string{"[ff15::8000:7]:7500", "239.192.7.7:7500"} {
		t.Run(group, func(t *testing.T) {
			config := &transport.Config{Interface: netem.LabInterface, Logger: slog.New(slog.DiscardHandler)}
			silent := *config
			silent.ReceiveOnly = true
			var w *Watcher
			err := lab.Do(netem.Sender, func() (err error) {
				w, err = Watch("udp", group, &Config{Transport: config, Reports: true})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			listen := func(n netem.Node) (l *transport.Listener) {
				err := lab.Do(n, func() (err error) {
					l, err = transport.Listen("udp", group, &silent)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			if w.Wanted() {
				t.Error("wanted by nobody")
			}
			start := time.Now()
			first := listen(0)
			if err := w.Wait(ctx); err != nil {
				t.Fatalf("%v: %+v", err, w.Stats())
			}
			t.Logf("heard after %v", time.Since(start))
			second := listen(1)
			for w.Stats().Hosts < 2 && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			first.Close()
			for w.Stats().Hosts > 1 && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			if !w.Wanted() {
				t.Error("not wanted though one is left")
			}
			changed := w.Changed()
			second.Close()
			select {
			case <-changed:
			case <-ctx.Done():
				t.Errorf("wanted though all have left: %+v", w.Stats())
			}
			if st := w.Stats(); st.Heard > 0 || st.Starts != 1 || st.Hosts != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
