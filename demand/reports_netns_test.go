//go:build netns

package demand

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
)

// A receiver that sends nothing is heard by what its kernel says of groups, and so is that it left: in each version of the protocols.
func TestReports(t *testing.T) {
	lab, err := netem.NewLab(netem.LabConfig{Receivers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	const v6, v4 = "[ff15::8000:7]:7500", "239.192.7.7:7500"
	for _, c := range []struct {
		name, group, setting, version string
		hosts                         netem.Node // of the old versions one may keep quiet that heard another
	}{
		{"MLDv2", v6, "ipv6/conf/" + netem.LabInterface + "/force_mld_version", "2", 2},
		{"MLDv1", v6, "ipv6/conf/" + netem.LabInterface + "/force_mld_version", "1", 1},
		{"IGMPv3", v4, "ipv4/conf/" + netem.LabInterface + "/force_igmp_version", "3", 2},
		{"IGMPv2", v4, "ipv4/conf/" + netem.LabInterface + "/force_igmp_version", "2", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := range netem.Node(2) {
				err := lab.Do(n, func() error { return os.WriteFile("/proc/sys/net/"+c.setting, []byte(c.version), 0) })
				if err != nil {
					t.Skip(err)
				}
			}
			testReports(t, lab, c.group, c.hosts)
		})
	}
}

func testReports(t *testing.T, lab *netem.Lab, group string, count netem.Node) {
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
	hosts := func(want int) {
		t.Helper()
		for w.Stats().Hosts != want && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		if st := w.Stats(); st.Hosts != want {
			t.Fatalf("%d hosts, want %d", st.Hosts, want)
		}
	}
	if w.Wanted() {
		t.Error("wanted by nobody")
	}
	start := time.Now()
	all := []*transport.Listener{listen(0)}
	if err := w.Wait(ctx); err != nil {
		t.Fatalf("%v: %+v", err, w.Stats())
	}
	t.Logf("heard after %v", time.Since(start))
	for n := netem.Node(1); n < count; n++ {
		all = append(all, listen(n))
	}
	hosts(len(all))
	for ; len(all) > 1; all = all[1:] {
		all[0].Close()
		hosts(len(all) - 1)
		if !w.Wanted() {
			t.Error("not wanted though one is left")
		}
	}
	changed := w.Changed()
	all[0].Close()
	select {
	case <-changed:
	case <-ctx.Done():
		t.Errorf("wanted though all have left: %+v", w.Stats())
	}
	if st := w.Stats(); st.Heard > 0 || st.Starts != 1 || st.Hosts != 0 {
		t.Errorf("%+v", st)
	}
}
