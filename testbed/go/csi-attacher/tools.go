//go:build tools

// Package tools pins the external-attacher that the testbed runs for drivers with attachRequired.
package tools

import _ "github.com/kubernetes-csi/external-attacher/v4/cmd/csi-attacher"
