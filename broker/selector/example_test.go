package selector_test

import (
	"fmt"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

func Example() {
	b, err := broker.New(broker.Options{
		Authenticator: auth.Anonymous,
		Selector:      selector.Compile,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	// The broker does this for
	//	SUBSCRIBE
	//	id:sub-0
	//	destination:/topic/orders
	//	selector:headers.region == 'eu' and headers['x-priority'] > 3
	match, err := selector.Compile(`headers.region == 'eu' and headers['x-priority'] > 3`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, priority := range []string{"1", "9"} {
		m := &broker.Message{Headers: []broker.Header{{Name: "region", Value: "eu"}, {Name: "x-priority", Value: priority}}}
		fmt.Println(priority, match(m))
	}
	// Output:
	// 1 false
	// 9 true
}
