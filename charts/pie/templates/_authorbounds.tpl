{{/*
The values authorBounds as rules of the API server. They must agree with pie.core.authorbounds; tests compare the two.
*/}}
{{- define "pie.authorValidations" -}}
{{- $rules := list -}}
{{- if kindIs "slice" .priorityClasses -}}
{{- $rules = append $rules (dict
  "expression" (printf "object.spec.?priorityClassName.orValue(\"\") in %s" (append .priorityClasses "" | toJson))
  "message" (printf "spec.priorityClassName is not allowed; allowed are: %s" (join ", " .priorityClasses | default "none"))) -}}
{{- end -}}
{{- if kindIs "slice" .tolerations -}}
{{- $taints := list -}}
{{- range .tolerations -}}
{{- $taints = append $taints (include "pie.tolerates" .) -}}
{{- end -}}
{{- $rules = append $rules (dict
  "expression" (printf "object.spec.?tolerations.orValue([]).all(t, %s)" (join " || " $taints | default "false"))
  "message" (printf "a toleration in spec.tolerations is not allowed; allowed are: %s" (join ", " .tolerations | default "none"))) -}}
{{- end -}}
{{- with .maxPvcCapacity -}}
{{- $rules = append $rules (dict
  "expression" (printf "object.spec.?pvcCapacity.optMap(size, %s).orValue(true)" (include "pie.isAtMost" .))
  "message" (printf "spec.pvcCapacity is more than %s, the most that is allowed" .)) -}}
{{- end -}}
{{- range $resource, $most := .maxResources -}}
{{- range $part := list "requests" "limits" -}}
{{- $rules = append $rules (dict
  "expression" (printf "object.spec.?resources.?%s[?%s].optMap(size, %s).orValue(true)" $part (toJson $resource) (include "pie.isAtMost" $most))
  "message" (printf "spec.resources.%s.%s is more than %v, the most that is allowed" $part $resource $most)) -}}
{{- end -}}
{{- end -}}
{{- if not $rules -}}
{{- fail "authorBounds.admissionPolicy is true, but there is nothing to enforce: set priorityClasses, tolerations, maxPvcCapacity or maxResources, too." -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* Whether the quantity `size`, a number or a string, is at most this one. */}}
{{- define "pie.isAtMost" -}}
quantity(string(dyn(size))).compareTo(quantity({{ toString . | toJson }})) <= 0
{{- end -}}

{{/* Whether the toleration `t` tolerates only the taints of this rule: KEY[=VALUE][:EFFECT], whose key may end in *. */}}
{{- define "pie.tolerates" -}}
{{- $taint := splitn ":" 2 . -}}
{{- $pair := splitn "=" 2 $taint._0 -}}
{{- $key := $pair._0 -}}
({{ if hasSuffix "*" $key -}}
t.?key.orValue("").startsWith({{ trimSuffix "*" $key | toJson }})
{{- else -}}
t.?key.orValue("") == {{ toJson $key }}
{{- end }}
{{- with $pair._1 }} && t.?operator.orValue("") != "Exists" && t.?value.orValue("") == {{ toJson . }}{{ end }}
{{- with $taint._1 }} && t.?effect.orValue("") == {{ toJson . }}{{ end }})
{{- end -}}
