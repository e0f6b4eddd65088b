// Package process runs the built hoofbeat binary in tests: it starts it on ports
// that the system chose, learns them from the log, and kills, stops, freezes
// and starts it again. No process outlives its test, on Linux not even that of a
// test that was killed.
//
//	func TestMain(m *testing.M) { os.Exit(process.Main(m)) }
//
//	s := process.Serve(t, process.Options{Restartable: true})
//	s.Kill(t)       // kill -9
//	s = s.Restart(t) // the same addresses, arguments and files
//
// It works where there are Unix signals.
package process
