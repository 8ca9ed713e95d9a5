package testvec

import "time"

// Watchdog ends the process with a panic unless the function it returns is called within a minute. Go's fuzzer waits for ever for an
// input that never ends, and says nothing; of a panic it keeps the input. For fuzz targets whose executions take milliseconds.
func Watchdog() (stop func()) {
	t := time.AfterFunc(time.Minute, func() { panic("an execution takes more than a minute") })
	return func() { t.Stop() }
}
