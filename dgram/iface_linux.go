package dgram

import (
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procNet is the network namespace of the calling thread; /proc/net would be the main thread's.
const procNet = "/proc/thread-self/net/"

// defaultRoute names the interface of the default route with the least metric, "" if there is none.
func defaultRoute(v6 bool) string {
	file, base := "route", 10
	if v6 {
		file, base = "ipv6_route", 16
	}
	b, err := os.ReadFile(procNet + file)
	if err != nil {
		return ""
	}
	const up, reject = 0x1, 0x200 // RTF_UP, RTF_REJECT
	name, least := "", uint64(1<<63)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		var dst, mask, metric, flags, dev string
		switch {
		case v6 && len(f) == 10: // destination, its length, source, its length, next hop, metric, references, uses, flags, device
			dst, mask, metric, flags, dev = f[0], f[1], f[5], f[8], f[9]
		case !v6 && len(f) >= 8: // device, destination, gateway, flags, references, uses, metric, mask
			dst, mask, metric, flags, dev = f[1], f[7], f[6], f[3], f[0]
		}
		fl, err := strconv.ParseUint(flags, 16, 32)
		m, merr := strconv.ParseUint(metric, base, 32)
		if err != nil || merr != nil || fl&up == 0 || fl&reject != 0 || strings.Trim(dst+mask, "0") != "" {
			continue
		}
		if m < least {
			name, least = dev, m
		}
	}
	return name
}

// addressStates reads what the kernel knows about an interface's IPv6 addresses.
func addressStates(ifi *net.Interface) map[netip.Addr]addressState {
	b, err := os.ReadFile(procNet + "if_inet6")
	if err != nil {
		return nil
	}
	states := map[netip.Addr]addressState{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line) // address, index, prefix length, scope, flags, device
		if len(f) != 6 || f[5] != ifi.Name {
			continue
		}
		raw, err := hex.DecodeString(f[0])
		a, ok := netip.AddrFromSlice(raw)
		flags, ferr := strconv.ParseUint(f[4], 16, 32)
		if err != nil || !ok || ferr != nil {
			continue
		}
		for _, s := range []struct {
			flag  uint64
			state addressState
		}{
			{unix.IFA_F_TEMPORARY, stateTemporary},
			{unix.IFA_F_DEPRECATED, stateDeprecated},
			{unix.IFA_F_TENTATIVE, stateTentative},
			{unix.IFA_F_DADFAILED, stateDuplicate},
		} {
			if flags&s.flag != 0 {
				states[a] |= s.state
			}
		}
	}
	return states
}

// namespace identifies the network namespace of the calling thread: equal addresses in two of them are different addresses.
func namespace() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0
	}
	return st.Ino
}
