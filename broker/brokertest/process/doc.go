// Package process runs the hoofbeat binary in tests. It starts the binary on
// ports that the system chooses, reads them from the log, and can kill, stop,
// freeze and restart it. No process outlives its test; on Linux this holds even
// if the test itself is killed.
//
//	func TestMain(m *testing.M) { os.Exit(process.Main(m)) }
//
//	s := process.Serve(t, process.Options{Restartable: true})
//	s.Kill(t)       // kill -9
//	s = s.Restart(t) // the same addresses, arguments and files
//
// It requires Unix signals.
package process
