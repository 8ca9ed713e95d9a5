package main

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic reads the clock that all processes of the machine share.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("BUG: CLOCK_MONOTONIC: " + err.Error())
	}
	return t.Nano()
}

// cpu returns what this process has used.
func cpu() (user, system time.Duration) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic("BUG: getrusage: " + err.Error())
	}
	return time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
}

// readCounters reads the counters of the namespace this process was started in.
func readCounters(iface string) (c Counters, err error) {
	dev, err1 := os.ReadFile("/proc/self/net/dev")
	snmp, err2 := os.ReadFile("/proc/self/net/snmp6")
	if err := errors.Join(err1, err2); err != nil {
		return c, err
	}
	return c, errors.Join(parseDev(dev, iface, &c), parseSNMP6(snmp, &c))
}

// readMachine reads the counters of the whole machine.
func readMachine() (m Machine, err error) {
	stat, err1 := os.ReadFile("/proc/stat")
	softnet, err2 := os.ReadFile("/proc/net/softnet_stat")
	if err := errors.Join(err1, err2); err != nil {
		return m, err
	}
	return m, errors.Join(parseStat(stat, &m), parseSoftnet(softnet, &m))
}
