package transport

import (
	"os"
	"testing"

	"github.com/rmcast/rmcast/netem"
)

func TestMain(m *testing.M) {
	netem.EnterUser() // for the tests in a Lab
	if name := os.Getenv(roleEnv); name != "" {
		os.Exit(play(name))
	}
	os.Exit(m.Run())
}
