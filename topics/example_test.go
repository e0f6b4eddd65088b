package topics_test

import (
	"fmt"

	"github.com/hoofbeat/hoofbeat/topics"
)

func Example() {
	router := topics.NewRouter[string]()
	prices, _ := topics.Parse("/topic/prices/*")
	reply, _ := topics.Parse("/user/queue/reply")
	router.Join("alice", "session-1")
	router.Subscribe("session-1", prices, "alice's prices")
	router.Subscribe("session-1", reply, "alice's replies")

	gold, _ := topics.Parse("/topic/prices/gold")
	fmt.Println(router.Match(gold))
	for _, session := range router.Sessions("alice") {
		fmt.Println(router.MatchSession(session, "/queue/reply"))
	}
	// Output:
	// [alice's prices]
	// [alice's replies]
}

func ExampleParse() {
	for _, name := range []string{"/topic/prices", "/user/queue/reply", "/user/a%2Fb/queue/reply", "/elsewhere"} {
		d, err := topics.Parse(name)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%v %q %q\n", d.Kind, d.Path, d.User)
	}
	// Output:
	// topic "/topic/prices" ""
	// user-private "/queue/reply" ""
	// user-named "/queue/reply" "a/b"
	// destination must begin with /topic/, /queue/, /app/ or /user/
}

func ExampleCompile() {
	p, err := topics.Compile("/topic/**/price-?")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Match("/topic/price-a"), p.Match("/topic/metals/gold/price-a"), p.Match("/topic/price-ab"))
	// Output: true true false
}

func ExampleIndex() {
	index := topics.NewIndex[int]()
	index.Add("/topic/a", 1)
	index.Add("/topic/*", 2)
	fmt.Println(index.Match("/topic/a"), index.Match("/topic/b"), index.Match("/queue/a"))
	index.Remove("/topic/a", 1)
	fmt.Println(index.Match("/topic/a"))
	// Output:
	// [1 2] [2] []
	// [2]
}
