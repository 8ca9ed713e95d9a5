package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/rmcast/rmcast/netem"
	"github.com/rmcast/rmcast/transport"
	"github.com/rmcast/rmcast/wire"
)

// A sender and two receivers in one program, over a network in memory that loses a tenth of the packets. Without Network, the
// same program uses the kernel's.
func Example() {
	network := netem.NewFabric(netem.FabricConfig{Seed: 1})
	const group = "[ff15::8000:1]:7500"

	received := make(chan string)
	for _, address := range []string{"fd00::2", "fd00::3"} {
		host := network.Host(address)
		host.SetIngress(netem.Impairment{Loss: 0.1})
		listener, err := transport.Listen("udp", group, &transport.Config{Network: host})
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer listener.Close()
			receiver, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			defer receiver.Close()
			text, err := io.ReadAll(receiver)
			received <- fmt.Sprintf("%d bytes, %v", len(text), err)
		}()
	}

	source, err := transport.Dial("udp", group, &transport.Config{Network: network.Host("fd00::1")})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(source, strings.NewReader(strings.Repeat("to all of you\n", 10000))); err != nil {
		log.Fatal(err)
	}
	if err := source.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-received)
	fmt.Println(<-received)
	// Output:
	// 140000 bytes, <nil>
	// 140000 bytes, <nil>
}

// The sender: what is typed goes to the whole group.
func ExampleDial() {
	source, err := transport.Dial("udp", "239.192.0.9:7500", nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(source, os.Stdin); err != nil {
		log.Fatal(err)
	}
	if err := source.Close(); err != nil {
		log.Fatal(err)
	}
}

// A receiver: it takes one source and writes what that sends.
func ExampleListen() {
	listener, err := transport.Listen("udp", "239.192.0.9:7500", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	receiver, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(os.Stdout, receiver); err != nil {
		log.Fatal(err)
	}
}

// A feed: late news is no news, so a gap older than 50 ms is told and skipped.
func ExampleReceiver_ReadMessage() {
	listener, err := transport.Listen("udp", "[ff15::8000:1%eth0]:7500",
		&transport.Config{Join: transport.JoinNow, MaxDelay: 50 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	receiver, err := listener.AcceptReceiver()
	if err != nil {
		log.Fatal(err)
	}
	message := make([]byte, 64<<10)
	for {
		n, err := receiver.ReadMessage(message)
		var loss *transport.LossError
		switch {
		case err == nil:
			fmt.Printf("%s\n", message[:n])
		case errors.As(err, &loss):
			log.Printf("missed %d packets", loss.Lost.Len())
		default:
			log.Fatal(err) // io.EOF: the source has ended the session
		}
	}
}

// A log with three replicas, two of which have to hold an entry before the next one is written.
func ExampleSource_WaitDelivered() {
	network := netem.NewFabric(netem.FabricConfig{Seed: 1})
	const group = "[ff15::8000:1]:7500"
	for name, address := range map[string]string{"ada": "fd00::2", "bob": "fd00::3", "eve": "fd00::4"} {
		cfg := &transport.Config{Network: network.Host(address), ReceiverID: wire.NewReceiverID(name)}
		listener, err := transport.Listen("udp", group, cfg)
		if err != nil {
			log.Fatal(err)
		}
		defer listener.Close()
		go func() {
			if receiver, err := listener.Accept(); err == nil {
				io.Copy(io.Discard, receiver)
			}
		}()
	}
	source, err := transport.Dial("udp", group, &transport.Config{Network: network.Host("fd00::1")})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	for _, entry := range []string{"one", "two", "three"} {
		if err := source.WriteMessage([]byte(entry)); err != nil {
			log.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := source.WaitDelivered(ctx, transport.Quorum{Count: 2})
		cancel()
		var missing *transport.UndeliveredError
		switch {
		case err == nil:
			fmt.Println(entry, "is held by two replicas")
		case errors.As(err, &missing):
			log.Fatalf("%v hold it, %v do not", missing.Confirmed, missing.Missing)
		default:
			log.Fatal(err)
		}
	}
	// Output:
	// one is held by two replicas
	// two is held by two replicas
	// three is held by two replicas
}

func ExampleConfig_Validate() {
	fmt.Println((&transport.Config{Rate: 500}).Validate())
	fmt.Println((&transport.Config{ReceiveOnly: true, Join: transport.JoinTrail}).Validate())
	// Output:
	// transport: Config: Rate is 500 bit/s, want at least 1 kbit/s; it counts bits per second: write 100*flow.Mbps
	// transport: Config: ReceiveOnly and Join: JoinTrail are both set: who never sends cannot ask for what was sent before
}
