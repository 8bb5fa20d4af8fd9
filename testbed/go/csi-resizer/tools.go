//go:build tools

// Package tools pins the external-resizer that the testbed runs beside each CSI driver.
package tools

import _ "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer"
