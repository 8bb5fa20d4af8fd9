//go:build tools

// Package tools pins the external-provisioner that the testbed runs beside each CSI driver.
package tools

import _ "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"
