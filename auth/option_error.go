package auth

// OptionError is the error of a constructor of this package, of one below it and
// of broker/webflow about one option. A program that fills the options from a
// configuration of its own can say by it which of its keys is wrong.
type OptionError struct {
	// Of is the struct with its package, such as "oauth: Options".
	Of string
	// Field is its path in the struct, such as "Providers[0].ClientSecret".
	Field string
	// Err is what is wrong, without names of Go and without a secret.
	Err error
}

// Error names the struct and the field.
func (e *OptionError) Error() string {
	return e.Of + "." + e.Field + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *OptionError) Unwrap() error { return e.Err }
