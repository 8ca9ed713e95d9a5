package netem_test

import (
	"os"
	"testing"

	"github.com/rmcast/rmcast/netem"
)

// roleEnv makes the test binary play a part in a Lab: see roles.
const roleEnv = "NETEM_TEST_ROLE"

var roles = map[string]func(){}

func TestMain(m *testing.M) {
	netem.EnterUser()
	if role := roles[os.Getenv(roleEnv)]; role != nil {
		role()
		return
	}
	os.Exit(m.Run())
}
