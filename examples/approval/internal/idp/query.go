package idp

import (
	"errors"
	"net/url"
)

const maxQueryBytes = 8 << 10

var errQuery = errors.New("the query is malformed")

// parameters parses a query. It rejects malformed and repeated parameters (RFC
// 6749 section 3.1), so that another component cannot read a different value.
func parameters(raw string) (map[string]string, error) {
	if len(raw) > maxQueryBytes {
		return nil, errQuery
	}
	all, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errQuery
	}
	q := make(map[string]string, len(all))
	for name, values := range all {
		if len(values) != 1 {
			return nil, errQuery
		}
		q[name] = values[0]
	}
	return q, nil
}
