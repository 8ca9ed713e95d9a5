package main

import "os"

func main() {
	e, stop := systemEnv()
	code := run(e, os.Args[1:])
	stop()
	os.Exit(code)
}
