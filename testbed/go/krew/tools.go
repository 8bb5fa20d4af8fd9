//go:build tools

// Package tools pins krew, which the tests install pie's kubectl plugin with.
package tools

import _ "sigs.k8s.io/krew/cmd/krew"
