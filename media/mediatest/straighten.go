package mediatest

// Straighten is heard with its changes of delay taken out: as long as reference, and each 100 ms of it from where
// Follow finds those of the reference. Measures that compare the two at the same moments, such as STOI, need that after
// a jitter buffer.
func Straighten(reference, heard []int16) []int16 {
	straight := make([]int16, len(reference))
	lag, _ := Align(reference, heard, len(heard))
	quiet := RMS(reference) / 30 // parts without voice fit everywhere: they stay beside the one before
	for at := 0; at < len(reference); at += followPart {
		part := reference[at:min(at+followPart, len(reference))]
		if len(part) == followPart && RMS(part) >= quiet {
			place, _, _ := fit(part, heard, at+lag)
			lag = place - at
		}
		for i := range part {
			if k := at + lag + i; k >= 0 && k < len(heard) {
				straight[at+i] = heard[k]
			}
		}
	}
	return straight
}
