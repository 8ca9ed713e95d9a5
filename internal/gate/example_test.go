package gate_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rmcast/rmcast/internal/gate"
)

// A reader waits for a value that another goroutine puts down, for a minute at most.
func Example() {
	var (
		mu    sync.Mutex
		value string
	)
	g := gate.New()
	go func() {
		mu.Lock()
		value = "hello"
		mu.Unlock()
		g.Set()
	}()

	var d gate.Deadline
	d.Set(time.Now().Add(time.Minute))
	ctx := context.Background()
	if err := g.Enter(ctx, &d); err != nil {
		fmt.Println(err)
		return
	}
	defer g.Leave()
	for {
		mu.Lock()
		v := value
		mu.Unlock()
		if v != "" {
			fmt.Println(v)
			return
		}
		if err := g.Wait(ctx, &d); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output: hello
}
