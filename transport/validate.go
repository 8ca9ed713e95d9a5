package transport

import (
	"fmt"
	"math/bits"
	"reflect"
	"time"

	"github.com/rmcast/rmcast/flow"
)

// fragmentMin is the fewest payload bytes that a fragment carries at an MTU of 1500: what Validate reckons with while the MTU
// is not known.
const fragmentMin = 1384

// Validate returns the first setting that makes no sense, or the first two that contradict each other, by name; nil if there
// are none. Dial and Listen call it, and then also check what only they know: the interface's MTU and the group's address
// family. A nil Config is valid.
func (c *Config) Validate() error {
	if c == nil {
		return nil
	}
	for _, check := range []func(*Config) error{
		(*Config).validateNumbers, (*Config).validateTimes, (*Config).validateSizes, (*Config).validateModes,
	} {
		if err := check(c); err != nil {
			return err
		}
	}
	return c.FEC.Validate()
}

// refuse makes an error about fields of a Config.
func refuse(format string, args ...any) error {
	return fmt.Errorf("transport: Config: "+format, args...)
}

// validateNumbers checks each plain number by itself.
func (c *Config) validateNumbers() error {
	for _, f := range []struct {
		name        string
		value       int
		least, most int
	}{
		{"HopLimit", c.HopLimit, 1, 255},
		{"MTU", c.MTU, 576, 65535},
		{"WindowBytes", c.WindowBytes, 64 << 10, 1 << bits.UintSize >> 2},
		{"MaxWindow", c.MaxWindow, minWindow, maxWindow},
		{"MaxMessage", c.MaxMessage, 1, 1 << 30},
		{"MaxSources", c.MaxSources, 1, 1 << 20},
	} {
		if f.value != 0 && (f.value < f.least || f.value > f.most) {
			return refuse("%s is %d, want %d to %d, or 0 for the default", f.name, f.value, f.least, f.most)
		}
	}
	switch {
	case c.Rate < 0:
		return refuse("Rate is negative (%d bit/s); 0 and flow.Unlimited are no bound", int64(c.Rate))
	case c.Rate != 0 && c.Rate < flow.Kbps:
		return refuse("Rate is %v, want at least %v; it counts bits per second: write 100*flow.Mbps", c.Rate, flow.Kbps)
	case c.RepairShare != 0 && !(c.RepairShare > 0 && c.RepairShare <= 1): // refuses NaN too
		return refuse("RepairShare is %v, want more than 0 and at most 1, or 0 for the default", c.RepairShare)
	}
	return nil
}

// validateTimes checks each duration by itself and then against each other.
func (c *Config) validateTimes() error {
	for _, f := range []struct {
		name     string
		value    time.Duration
		canBeOff bool
	}{
		{"WindowAge", c.WindowAge, false},
		{"WindowHold", c.WindowHold, false},
		{"MaxDelay", c.MaxDelay, false},
		{"RepairTimeout", c.RepairTimeout, true},
		{"HeartbeatMin", c.HeartbeatMin, false},
		{"HeartbeatMax", c.HeartbeatMax, false},
		{"AmbientSPM", c.AmbientSPM, false},
		{"Expiry", c.Expiry, true},
		{"NAKBackoff", c.NAKBackoff, false},
		{"NAKRepeat", c.NAKRepeat, false},
		{"NAKData", c.NAKData, false},
		{"Linger", c.Linger, true},
	} {
		switch {
		case f.value < 0 && !f.canBeOff:
			return refuse("%s is negative (%v)", f.name, f.value)
		case f.value > 0 && f.value < time.Microsecond:
			return refuse("%s is %v, less than a microsecond; a time.Duration counts nanoseconds: write 5*time.Millisecond", f.name, f.value)
		case f.value > 24*time.Hour:
			return refuse("%s is %v, more than a day", f.name, f.value)
		}
	}
	expiry := c.Expiry
	or(&expiry, defaultExpiry)
	for _, f := range []struct {
		name, limitName string
		value, limit    time.Duration
		why             string
	}{
		{"WindowHold", "WindowAge", c.WindowHold, c.WindowAge, "a packet cannot be held longer than it is kept"},
		{"HeartbeatMin", "HeartbeatMax", c.HeartbeatMin, c.HeartbeatMax, "the interval only grows"},
		{"MaxDelay", "RepairTimeout", c.MaxDelay, c.RepairTimeout, "gaps would be given up before they may be skipped"},
		{"NAKBackoff", "MaxDelay", c.NAKBackoff, c.MaxDelay, "gaps would be skipped before anybody asks for a repair"},
		{"NAKBackoff", "RepairTimeout", c.NAKBackoff, c.RepairTimeout, "gaps would be given up before anybody asks for a repair"},
		{"AmbientSPM", "Expiry", c.AmbientSPM, expiry, "an idle source would be taken for lost between two of its SPMs"},
	} {
		if f.value > 0 && f.limit > 0 && f.value > f.limit {
			return refuse("%s (%v) is longer than %s (%v): %s", f.name, f.value, f.limitName, f.limit, f.why)
		}
	}
	return nil
}

// validateSizes checks that the longest message fits the windows.
func (c *Config) validateSizes() error {
	r := c.withDefaults()
	fragment := fragmentMin
	if c.MTU != 0 {
		fragment = c.MTU - (defaultMTU - fragmentMin)
	}
	switch slots := powerOfTwo(r.MaxWindow); {
	case r.MaxMessage > slots*min(fragment, 1<<30/slots):
		return refuse("MaxMessage (%d bytes) does not fit in MaxWindow (%d): the window has %d packets of %d bytes; change one of the two",
			r.MaxMessage, r.MaxWindow, slots, fragment)
	case r.MaxMessage > r.WindowBytes/2:
		return refuse("MaxMessage (%d bytes) is more than half of WindowBytes (%d): change one of the two", r.MaxMessage, r.WindowBytes)
	}
	return nil
}

// validateModes checks the switches against the rest.
func (c *Config) validateModes() error {
	for _, a := range c.Sources {
		if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() {
			return refuse("Sources has %v, want unicast addresses of hosts", a)
		}
	}
	if c.Join > JoinTrail {
		return refuse("Join is %d, want JoinStart, JoinNow or JoinTrail", c.Join)
	}
	if err := c.validatePace(); err != nil || !c.ReceiveOnly {
		return err
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"NAKBackoff", c.NAKBackoff != 0},
		{"NAKRepeat", c.NAKRepeat != 0},
		{"NAKData", c.NAKData != 0},
		{"UniformBackoff", c.UniformBackoff},
	} {
		if f.set {
			return refuse("ReceiveOnly and %s are both set: who never sends asks for no repair", f.name)
		}
	}
	if c.ReceiverID != 0 {
		return refuse("ReceiveOnly and ReceiverID are both set: who never sends confirms nothing")
	}
	if c.Join == JoinTrail {
		return refuse("ReceiveOnly and Join: JoinTrail are both set: who never sends cannot ask for what was sent before")
	}
	return nil
}

// validatePace checks how a source finds its rate.
func (c *Config) validatePace() error {
	if err := c.SlowReceivers.Validate(); err != nil {
		return refuse("SlowReceivers: %v", err)
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"LossIsCongestion", c.LossIsCongestion},
		{"SlowReceivers", !reflect.ValueOf(c.SlowReceivers).IsZero()},
	} {
		if f.set && c.Fixed {
			return refuse("Fixed and %s are both set: a source whose rate is fixed does not follow its receivers", f.name)
		}
	}
	if floor := c.SlowReceivers.WithDefaults().Floor; c.Rate > 0 && floor > c.Rate && c.SlowReceivers.Floor > 0 {
		return refuse("SlowReceivers.Floor (%v) is more than Rate (%v): no receiver could get so much", floor, c.Rate)
	}
	return nil
}

// powerOfTwo rounds n ≥ 1 down to a power of two.
func powerOfTwo(n int) int { return 1 << (bits.Len(uint(n)) - 1) }
