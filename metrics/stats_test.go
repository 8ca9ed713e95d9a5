package metrics

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rmcast/rmcast/carousel"
	"github.com/rmcast/rmcast/demand"
	"github.com/rmcast/rmcast/transport"
)

// Each field of the Stats is one sample of its own, in both formats: set alone, it changes that and nothing else.
func TestEveryField(t *testing.T) {
	everyField(t, "source", (*collector).source)
	everyField(t, "listener", (*collector).listener)
	everyField(t, "receiver", (*collector).receiver)
	everyField(t, "inbox", (*collector).inbox)
	everyField(t, "requests", (*collector).requests)
	everyField(t, "demand", (*collector).demand)
}

func everyField[T any](t *testing.T, kind string, collect func(*collector, T)) {
	render := func(v T) (lines []string, json string) {
		c := newCollector()
		c.begin(&thing{kind: kind})
		collect(c, v)
		return strings.Split(string(c.text()), "\n"), string(c.json())
	}
	var zero T
	before, jsonBefore := render(zero)
	seen := map[string]string{} // which field a line is of
	fields := 0
	for _, path := range leaves(reflect.TypeFor[T](), kind) {
		fields++
		var v T
		set(t, reflect.ValueOf(&v).Elem(), path.index)
		after, json := render(v)
		var changed []string
		for _, line := range after {
			if !slices.Contains(before, line) && !strings.HasPrefix(line, "#") {
				changed = append(changed, line)
			}
		}
		if len(changed) != 1 || json == jsonBefore {
			t.Errorf("%s: changes %q; in JSON: %v", path.name, changed, json != jsonBefore)
			continue
		}
		sample := changed[0][:strings.LastIndexByte(changed[0], ' ')]
		if other, ok := seen[sample]; ok {
			t.Errorf("%s and %s are both %s", path.name, other, sample)
		}
		seen[sample] = path.name
	}
	t.Logf("%s: %d fields", kind, fields)
}

type leaf struct {
	name  string
	index [][]int // field indices, and of an array -1 and the element's
}

// leaves lists what is not itself made of fields.
func leaves(typ reflect.Type, name string) (all []leaf) {
	switch typ.Kind() {
	case reflect.Struct:
		for f := range typ.Fields() {
			for _, l := range leaves(f.Type, name+"."+f.Name) {
				all = append(all, leaf{l.name, append([][]int{f.Index}, l.index...)})
			}
		}
	case reflect.Array:
		for i := 1; i < typ.Len(); i++ { // DecodeStats: 0 is no error
			all = append(all, leaf{fmt.Sprintf("%s[%d]", name, i), [][]int{{-1, i}}})
		}
	default:
		all = append(all, leaf{name: name})
	}
	return all
}

func set(t *testing.T, v reflect.Value, path [][]int) {
	for _, index := range path {
		if index[0] == -1 {
			v = v.Index(index[1])
		} else {
			v = v.FieldByIndex(index)
		}
	}
	switch {
	case v.CanUint():
		v.SetUint(1)
	case v.CanInt():
		v.SetInt(1)
	case v.CanFloat():
		v.SetFloat(1)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Type() == reflect.TypeFor[error]():
		v.Set(reflect.ValueOf(errors.New("x")))
	default:
		t.Fatalf("a field of type %v is new here", v.Type())
	}
}

// What is said of objects are sums.
func TestObjects(t *testing.T) {
	c := newCollector()
	c.begin(&thing{kind: "inbox"})
	c.objects([]carousel.ObjectStatus{
		{Root: carousel.Root{Bytes: 5000}, Known: true, Symbols: 4, Held: 4, Done: true},
		{Root: carousel.Root{Bytes: 9000}, Known: true, Symbols: 7, Held: 2},
		{Root: carousel.Root{Bytes: 100}, Known: true, Symbols: 1, Held: 1, Done: true, Err: errors.New("x")},
		{Root: carousel.Root{Bytes: 1}},
	})
	for name, want := range map[string]float64{
		"objects": 4, "objects_known": 3, "objects_done": 1, "objects_failed": 1, "object_bytes": 14101, "object_symbols": 12, "held_symbols": 7,
	} {
		if got := c.values[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// Names are as Prometheus' users expect them, and each has a sentence.
func TestNames(t *testing.T) {
	c := newCollector()
	c.metrics(0, 0)
	c.begin(&thing{kind: "source"})
	c.source(transport.SourceStats{})
	c.begin(&thing{kind: "listener"})
	c.listener(transport.ListenerStats{})
	c.begin(&thing{kind: "receiver"})
	c.receiver(transport.ReceiverStats{})
	c.begin(&thing{kind: "inbox"})
	c.inbox(carousel.InboxStats{})
	c.objects(nil)
	c.begin(&thing{kind: "requests"})
	c.requests(carousel.RequestStats{})
	c.begin(&thing{kind: "demand"})
	c.demand(demand.Stats{})
	good := regexp.MustCompile(`^rmcast_(source|listener|receiver|inbox|requests|demand|metrics)(_[a-z]+)+$`)
	for _, f := range c.families {
		total := strings.HasSuffix(f.name, "_total")
		if !good.MatchString(f.name) || total != (f.typ == "counter") || !strings.HasSuffix(f.help, ".") || strings.ContainsAny(f.help, "\\\n") {
			t.Errorf("%s, a %s: %q", f.name, f.typ, f.help)
		}
	}
	t.Logf("%d metrics", len(c.families))
}
