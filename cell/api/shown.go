package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"guichet/internal/httpd"
)

// mayKeep says that whoever asks may keep an answer, if it asks before using it; a handler
// may have said for how long it need not. What somebody sees because of who he is, or of a
// code that he knows, stays no-store.
func mayKeep(c *gin.Context) {
	if c.Writer.Header().Get("Cache-Control") == noStore[0] && c.GetHeader("Authorization") == "" && c.GetHeader("Cookie") == "" && c.Query("access_code") == "" {
		c.Header("Cache-Control", "no-cache")
	}
}

// show answers with what anybody may see and an ETag that changes with it, or with 304
// when the caller has it already.
func show(c *gin.Context, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	showAs(c, body, `"`+httpd.Digest(body)+`"`)
	return nil
}

// showAs is show with an ETag.
func showAs(c *gin.Context, body []byte, etag string) {
	mayKeep(c)
	c.Writer.Header().Add("Vary", "Authorization")
	if known := httpd.NoneMatch(c.Request, etag); known != "" {
		c.Header("ETag", known)
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return
	}
	c.Header("ETag", etag)
	c.Data(http.StatusOK, "application/json", append(body, '\n'))
}
