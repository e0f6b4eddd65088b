// Plot turns what measure.sh has measured into what docs/performance.md shows:
//
//	go run ./docs/performance/plot -out docs/performance measured.jsonl
//
// writes fanout.svg and memory.svg to the folder of -out and prints the rows as a
// Markdown table. Every figure is the median of the runs with the same command.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const usage = `usage: plot [-out FOLDER] MEASURED.jsonl...
  -out FOLDER   where fanout.svg and memory.svg go (default .)
`

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
	case err != nil:
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("plot", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main says what is wrong
	dir := flags.String("out", ".", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("no file of measurements (see -help)")
	}
	m := new(measured)
	for _, name := range flags.Args() {
		if err := m.readFile(name); err != nil {
			return err
		}
	}
	if len(m.runs) == 0 {
		return fmt.Errorf("%s: no runs", flags.Arg(0))
	}
	for _, c := range []struct {
		name  string
		chart chart
	}{{"fanout.svg", fanOut(m.runs)}, {"memory.svg", memory(m.runs)}} {
		if len(c.chart.panels[0].points) < 2 {
			fmt.Fprintf(stderr, "%s is not written: it wants two rows or more\n", c.name)
			continue
		}
		if err := os.WriteFile(filepath.Join(*dir, c.name), c.chart.svg(), 0o644); err != nil {
			return err
		}
	}
	_, err := io.WriteString(stdout, table(m))
	return err
}
