//go:build netns

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/rmcast/rmcast/netem"
)

func TestMain(m *testing.M) {
	if enter() {
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// All cases of our own, small: complete, verified, silent.
func TestRun(t *testing.T) {
	netem.NeedLab(t)
	var out, stderr bytes.Buffer
	args := strings.Fields("-size 4M -kills 3 -receivers 2 -loss 20 -json -only silent/random,late,killed,beside/carousel -dir " + t.TempDir())
	if err := run(t.Context(), args, &out, &stderr); err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 7 {
		t.Errorf("%d results", len(results))
	}
	for _, r := range results {
		if r.Error != "" {
			t.Errorf("%s: %s", r.id(), r.Error)
		}
		if v, ok := r.value("sent by receivers"); ok && v != 0 {
			t.Errorf("%s: %v packets", r.id(), v)
		}
		if v, ok := r.value("packets beyond k"); r.Kind == kindSilent && (!ok || v < 0) {
			t.Errorf("%s: %v %% beyond k", r.id(), v)
		}
	}
}

// On layers all are complete and say nothing, whatever their link.
func TestRunLayers(t *testing.T) {
	netem.NeedLab(t)
	var out, stderr bytes.Buffer
	args := strings.Fields("-quick -json -only layers -dir " + t.TempDir())
	if err := run(t.Context(), args, &out, &stderr); err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Error != "" {
		t.Fatalf("%+v", results)
	}
	r := &results[0]
	for _, link := range layerLinks {
		if v, ok := r.value(behind(link)); !ok || v <= 0 {
			t.Errorf("behind %s %v %% came", behind(link), v)
		}
	}
	if v, ok := r.value("sent by receivers"); !ok || v != 0 {
		t.Errorf("receivers sent %v packets", v)
	}
	t.Log(r)
}

// A packet that is no kernel's is seen.
func TestCaptureSees(t *testing.T) {
	netem.NeedLab(t)
	lab, err := netem.NewLab(netem.LabConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	c, err := newCapture(lab, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = lab.Do(0, func() error {
		conn, err := net.Dial("udp", net.JoinHostPort(netem.Sender.Addr6().String(), "9"))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("x"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := c.end()
	if err != nil || sent["UDP"] != 1 || loud(sent) != 1 {
		t.Errorf("%v, %v", sent, err)
	}
}

// A process says why it cannot be what it is to be.
func TestProcessFails(t *testing.T) {
	netem.NeedLab(t)
	lab, err := netem.NewLab(netem.LabConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	p, err := start(lab, netem.Sender, job{Source: true, Path: t.TempDir() + "/nothing"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := p.await(t.Context(), saysReady); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("%+v, %v", e, err)
	}
	if err := p.end(); err != nil {
		t.Error(err)
	}
}

func TestHighWater(t *testing.T) {
	if got := highWater("Name:\tx\nVmHWM:\t  1024 kB\nVmRSS:\t  1 kB\n"); got != 1<<20 {
		t.Error(got)
	}
	if got := highWater("VmHWM:\tx kB\n"); got != 0 {
		t.Error(got)
	}
}
