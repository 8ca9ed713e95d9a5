// Command rmcast sends files, streams and messages from one machine to any number at once, and shows what multicast does in a network.
//
//	rmcast recv demo                 on each machine that wants it
//	rmcast send photos demo          on the machine that has it
//
// docs/rmcast.md is its manual; rmcast help teaches as much on a screen.
//
// It is thin: transport, carousel and channel do the work. What is here:
//
//	main, env         the process: streams, terminal, signals; everything else gets an env and can be tested without a process
//	app, help, flags  the commands, their options and their help; one file for each command
//	arguments         what is given behind them
//	target, access    NAME|GROUP; sessions there, and the roster
//	inside            who looks on: -metrics, -trace, -capture
//	exit, explain     errors: a sentence of what happened, one of what to do, and an exit code
//	say               what is told: lines for people, JSON for programs
//	internal/human    sizes, rates, times; text that is safe to print (pure)
//	internal/roster   who is in a group: receivers tell how far they are, and answer pings
//	internal/pcap     packet captures (pure)
package main
